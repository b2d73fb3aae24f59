"""`tui-vae serve`: the app in a browser, for whoever has the address with its secret."""
