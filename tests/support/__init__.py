"""What tests share: processes, terminals, runs made up, and small networks."""
