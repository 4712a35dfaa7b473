"""The runtime for machines that withhold a capability: exactly the missing ones are left out."""

from __future__ import annotations

from kfpkit.images import runc_bounded


def test_missing_capabilities_are_read_from_the_bounding_set() -> None:
    status = "Name:\tx\nCapBnd:\t000001fffeffffff\n"
    assert runc_bounded.missing_capabilities(status, last=40) == {"CAP_SYS_RESOURCE"}
    assert runc_bounded.missing_capabilities("CapBnd:\t000001ffffffffff\n", last=40) == set()


def test_what_the_kernel_does_not_know_is_not_missing() -> None:
    assert runc_bounded.missing_capabilities("CapBnd:\t0000003fffffffff\n", last=37) == set()


def test_every_set_of_a_process_loses_the_missing_ones_and_nothing_else() -> None:
    process = {
        "args": ["init"],
        "capabilities": {
            "bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"],
            "effective": ["CAP_SYS_RESOURCE"],
        },
    }
    assert runc_bounded.without(process, {"CAP_SYS_RESOURCE"}) == {
        "args": ["init"],
        "capabilities": {"bounding": ["CAP_CHOWN"], "effective": []},
    }
    assert process["capabilities"]["effective"] == ["CAP_SYS_RESOURCE"]  # type: ignore[index]


def test_the_file_to_change_is_found_in_both_spellings() -> None:
    assert runc_bounded._value(["create", "--bundle", "/b", "id"], "--bundle", "-b") == "/b"
    assert runc_bounded._value(["exec", "--process=/p", "id"], "--process", "-p") == "/p"
    assert runc_bounded._value(["delete", "id"], "--bundle", "-b") is None
