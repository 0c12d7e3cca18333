"""Runs many commands of the AWS CLI in one process, which saves most of a second for each: a JSON list of arguments per line in, a JSON
object with status, output and error per line out. Works with version 1 and 2: it is the CLI's own driver that runs."""

import contextlib
import inspect
import io
import json
import sys

from awscli.clidriver import create_clidriver

driver = create_clidriver([]) if inspect.signature(create_clidriver).parameters else create_clidriver()
answers = sys.stdout
for line in sys.stdin:
    output, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        try:
            status = driver.main(json.loads(line))
        except SystemExit as exit:
            status = exit.code
    answers.write(json.dumps({"status": status, "output": output.getvalue(), "error": error.getvalue()}) + "\n")
    answers.flush()
