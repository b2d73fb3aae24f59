"""One run on several devices: a process for each, started and watched over by torchrun's own agent."""
