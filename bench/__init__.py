"""`make bench`: the product's images against what teams start out with, on one machine, in one run.

scenarios.yaml, explanations.yaml   what is measured of whom, how it is shown, and why ours is worse if it is
plan       those files as checked data, and the steps that follow
roles      the images that are measured, by what runs from them
changes    what a scenario changes in a checkout
builds     the builds of each contender, by BuildKit
workload   what the containers are given to do, in the terms of this product
running    what containers take and do: start, memory, requests, jobs
session    one contender with one model, measured step by step
results    what was measured so far, kept after each measurement
figures    medians, spread, ratios, and how they are written
report     the comparison; `plots` and `pages` show it
"""
