"""Where promotions are written: a plain repository; hosted forges with pull requests come beside it."""
