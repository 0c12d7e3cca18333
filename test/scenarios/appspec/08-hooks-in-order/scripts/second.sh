echo without a first line
