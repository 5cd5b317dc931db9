"""commands.py MODULE:FUNCTION -- ARGUMENT... -- ARGUMENT...: a tool of a service several times, for the price of one import."""

import importlib
import os
import sys
import warnings

warnings.filterwarnings("ignore")


def main():
    module, function = sys.argv[1].split(":")
    calls = []
    for word in sys.argv[2:]:
        calls.append([]) if word == "--" else calls[-1].append(word)
    sys.argv = [module]
    tool = getattr(importlib.import_module(module), function)
    for arguments in calls:
        child = os.fork()
        if not child:
            sys.argv = [module, *arguments]
            try:
                code = tool() or 0
            except SystemExit as error:
                code = error.code or 0
            sys.stdout.flush()
            os._exit(code if isinstance(code, int) else 1)
        if os.waitpid(child, 0)[1]:
            sys.exit(f"{module} failed with {arguments}")


if __name__ == "__main__":
    main()
