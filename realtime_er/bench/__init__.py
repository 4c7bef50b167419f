"""What ``realtime-er bench`` measures, each part in a module of its own.

    clip.py         the 720p clip that is read          machine.py   what it was measured on
    live.py         a paced session, stage by stage     analysis.py  a recording, as fast as possible
    overhead.py     the same with constants for models  drawing.py   the window
    reencoding.py   against encoding every window again backends.py  one runtime against another
    starting.py     first score, imports                goals.py     what was wanted

All figures are of the machine they ran on; comparisons alternate within one run and are given as ratios.
Nothing here is asserted in a test.
"""
