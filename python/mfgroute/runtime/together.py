"""Questions of several callers, asked as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Together"]

_T = TypeVar("_T")


class Together(Generic[_T]):
    """Asks about ids; what is wanted while a question is under way goes into the next one, together.

    Args:
        ask: answers about ids what is known of them, those of which nothing is known left out.
    """

    def __init__(self, ask: Callable[[Sequence[str]], Awaitable[dict[str, _T]]]) -> None:
        self._ask = ask
        self._wanted: list[tuple[Sequence[str], asyncio.Future[dict[str, _T]]]] = []
        self._task: asyncio.Task[None] | None = None

    async def about(self, ids: Sequence[str]) -> dict[str, _T]:
        """What is known of some ids; raises what the question does."""
        answer = asyncio.get_running_loop().create_future()
        self._wanted.append((ids, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        found = await answer
        return {one: found[one] for one in ids if one in found}

    async def _run(self) -> None:
        asked: list[tuple[Sequence[str], asyncio.Future[dict[str, _T]]]] = []
        try:
            while self._wanted:
                asked, self._wanted = self._wanted, []
                await self._answer(asked)
        finally:
            self._task = None
            # Only if it was cancelled is there somebody left.
            for _, answer in (*asked, *self._wanted):
                answer.cancel()
            self._wanted = []

    async def _answer(self, asked: Sequence[tuple[Sequence[str], asyncio.Future[dict[str, _T]]]]) -> None:
        ids = list(dict.fromkeys(one for some, _ in asked for one in some))
        try:
            found = await self._ask(ids)
        except Exception as error:  # noqa: BLE001 - whoever waits for the answer is told
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        for _, answer in asked:
            if not answer.done():
                answer.set_result(found)
