"""The Inventory service: what the sources of migrations hold, for controllers in this process and over HTTP."""
