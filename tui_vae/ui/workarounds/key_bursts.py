"""Textual's line of input, in which keys act in the order in which they came.

Written for Textual 8.2, where a key that writes a character acts in the input at once, and one with a binding, such as
`ctrl+u`, `home` and `tab`, on its way back from there to the app. Keys that come in a burst, as over a slow line,
overtake it: `ctrl+u` and a word leave nothing, and a word behind `tab` lands in the field before. It is not needed any
more where tests/ui/test_key_bursts.py passes with Textual's own.
"""

from __future__ import annotations

from textual import events, widgets

MOVES_FOCUS = ("tab", "shift+tab")
"""Keys of the screen's bindings that are acted upon at once as well. Others may close the screen that the input is in,
which must not wait for the input."""


class Input(widgets.Input):
    """As Textual's, but it acts upon its own bindings at once, and passes on what comes after the focus has gone."""

    async def _on_key(self, event: events.Key) -> None:  # besides Textual's own, which writes characters
        focused = self.screen.focused
        if focused is not self:
            (focused or self.screen)._forward_event(events.Key(event.key, event.character))
        elif event.is_printable or not await self._acts_upon(event.key):
            return
        event.stop()
        event.prevent_default()

    async def _acts_upon(self, key: str) -> bool:
        if key in MOVES_FOCUS:
            return await self.app._check_bindings(key)
        for binding in self._bindings.key_to_bindings.get(key, ()):
            if await self.app.run_action(binding.action, self):
                return True
        return False
