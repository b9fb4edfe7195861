"""The parts of a connection: they end together, and the error of the first that ends is everybody's."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from openaisle.sensors.link import first_of


async def fails() -> None:
    """A part that breaks."""
    await asyncio.sleep(0.01)
    raise OSError("the line is cut")


def test_the_first_error_ends_all_and_is_raised() -> None:
    ended: list[str] = []

    async def goes_on() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cleaned up")

    with pytest.raises(OSError, match="the line is cut"):
        asyncio.run(first_of(goes_on(), fails()))
    assert ended == ["cleaned up"]


def test_one_that_ends_well_ends_the_others_well() -> None:
    async def short() -> None:
        await asyncio.sleep(0.01)

    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise OSError("while it was being cancelled") from None

    asyncio.run(first_of(short(), stubborn()))


@pytest.mark.parametrize("count", [1, 3])
def test_whoever_waits_is_cancelled_with_its_parts(count: int) -> None:
    ended: list[int] = []

    async def part(number: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(number)

    async def scene() -> None:
        parts: list[Coroutine[object, object, None]] = [part(number) for number in range(count)]
        waiting = asyncio.create_task(first_of(*parts))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(scene())
    assert sorted(ended) == list(range(count))
