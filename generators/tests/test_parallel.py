"""Work in several processes: the same results, in order, and a fault is the caller's."""

from functools import partial

import pytest

from generators import naming
from generators.parallel import each


def test_results_come_in_the_order_of_the_items_however_many_processes_work() -> None:
    tenants = [f"t{number}" for number in range(20)]
    wanted = [f"tenon-{tenant}" for tenant in tenants]
    assert list(each(partial(naming.bucket, "tenon"), tenants, processes=2)) == wanted
    assert list(each(partial(naming.bucket, "tenon"), tenants)) == wanted


def test_a_fault_of_one_item_is_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list(each(int, ["1", "x"], processes=2))
