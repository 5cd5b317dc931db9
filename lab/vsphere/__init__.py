"""A vCenter to migrate from: govmomi's simulator with disks that hold bytes, snapshots that freeze them, and changed-block tracking."""
