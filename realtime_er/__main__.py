"""``python -m realtime_er`` is ``realtime-er``."""

from realtime_er.cli import main

if __name__ == "__main__":
    main()
