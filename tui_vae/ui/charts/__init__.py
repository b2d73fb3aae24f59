"""Curves as characters: axes, scales, drawing and the widget."""
