"""Sends each call read from standard input with botocore and prints what botocore made of the answer, one JSON line each.

What this botocore's own, perhaps older, model does not know is left out of the call and named as left out of what to expect.
Dates and bytes, which JSON lacks, travel as {"$date": ...} and {"$bytes": base64}."""
import base64
import json
import sys
import datetime

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError


def revive(value):
    if isinstance(value, dict):
        if list(value) == ["$date"]:
            return datetime.datetime.fromisoformat(value["$date"].replace("Z", "+00:00"))
        if list(value) == ["$bytes"]:
            return base64.b64decode(value["$bytes"])
        return {key: revive(item) for key, item in value.items()}
    return [revive(item) for item in value] if isinstance(value, list) else value


def freeze(value):
    if isinstance(value, datetime.datetime):
        moment = value.astimezone(datetime.timezone.utc)
        return {"$date": moment.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (moment.microsecond // 1000)}
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: freeze(item) for key, item in value.items()}
    return [freeze(item) for item in value] if isinstance(value, list) else value


def known(value, shape):
    if shape is None or value is None:
        return value
    if shape.type_name == "structure":
        return {name: known(item, shape.members[name]) for name, item in value.items() if name in shape.members}
    if shape.type_name == "list":
        return [known(item, shape.member) for item in value]
    if shape.type_name == "map":
        return {name: known(item, shape.value) for name, item in value.items()}
    return value


session = botocore.session.get_session()
clients = {}
for line in sys.stdin:
    call = json.loads(line)
    if call["service"] not in session.get_available_services():
        print(json.dumps({"unknown": True}), flush=True)
        continue
    if call["service"] not in clients:
        clients[call["service"]] = session.create_client(
            call["service"],
            region_name="us-east-1",
            endpoint_url=call["endpoint"],
            aws_access_key_id="AKID",
            aws_secret_access_key="SECRET",
            config=Config(
                parameter_validation=False,
                retries={"max_attempts": 0},
                s3={"addressing_style": "path"},
                response_checksum_validation="when_required",
            ),
        )
    client = clients[call["service"]]
    if call["operation"] not in client.meta.service_model.operation_names:
        print(json.dumps({"unknown": True}), flush=True)
        continue
    model = client.meta.service_model.operation_model(call["operation"])
    sent = known(call["input"], model.input_shape)
    result = {"sent": sent, "expected": known(call["output"], model.output_shape)}
    try:
        result["output"] = freeze(client._make_api_call(call["operation"], revive(sent)))
    except ClientError as error:
        result["error"] = error.response
    print(json.dumps(result, default=str), flush=True)
