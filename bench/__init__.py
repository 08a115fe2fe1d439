"""`make bench`: the product's images against what teams start out with, on one machine, in one run.

plan       what is measured of whom, as a list
figures    medians, spread, ratios, and how they are written
results    what was measured so far, kept after each measurement
changes    what a scenario changes in a checkout
builds     the builds of each contender, by BuildKit
running    what containers take and do: start, memory, requests, jobs
report     the table; `plots` and `page`: what a person opens
"""
