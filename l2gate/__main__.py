"""`python -m l2gate`."""

import sys

from l2gate.cli import main

sys.exit(main())
