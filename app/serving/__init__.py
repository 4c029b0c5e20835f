"""Our HTTP server: uvicorn with bounds that hold before any application sees a request."""
