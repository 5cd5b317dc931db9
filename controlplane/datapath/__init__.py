"""What moves and changes the bytes of disks, with external tools under deadlines."""
