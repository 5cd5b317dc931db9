"""From a source VM to a VirtualMachine object: pure functions (facts 3.14)."""
