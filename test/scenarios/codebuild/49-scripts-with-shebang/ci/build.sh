#!/bin/sh
set -eu
echo "$# arguments, last $2, in ${PWD##*/}"
X=not-kept
export X
