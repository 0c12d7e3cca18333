#!/usr/bin/awk -f
BEGIN { print "awk " 6 * 7 }
