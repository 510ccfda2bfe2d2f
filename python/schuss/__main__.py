"""`python -m schuss doctor`: what this machine's GPUs can do for schuss.
Leans on doctor alone."""

from __future__ import annotations

import sys

from schuss import doctor

if __name__ == "__main__":
    if sys.argv[1:] != ["doctor"]:
        print("usage: python -m schuss doctor", file=sys.stderr)
        sys.exit(2)
    sys.exit(doctor.main())
