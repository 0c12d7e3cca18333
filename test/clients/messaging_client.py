"""SQS by boto3, which speaks JSON, and by signed forms as boto3 sent them before. Prints what came back as one JSON object."""
import json
import os
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
REGION = os.environ["AWS_REGION"]
BODY = "hé <&>\r\nx"

session = boto3.Session()
sqs = session.client("sqs", endpoint_url=ENDPOINT)


def by_json():
    url = sqs.create_queue(QueueName="new")["QueueUrl"]
    attributes = {"n": {"DataType": "Number", "StringValue": "1"}, "b": {"DataType": "Binary", "BinaryValue": b"\x00\x01"}}
    sqs.send_message(QueueUrl=url, MessageBody=BODY, MessageAttributes=attributes)
    batch = sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "x", "DelaySeconds": 901}])
    message = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"][0]
    found = message["MessageAttributes"]
    return {
        "body": message["Body"],
        "number": found["n"]["StringValue"],
        "bytes": found["b"]["BinaryValue"].hex(),
        "failed": [entry["Code"] for entry in batch["Failed"]],
    }


def call(url, action, **form):
    """A form, signed; status and the answer without its namespace."""
    data = urllib.parse.urlencode({"Action": action, "Version": "2012-11-05", **{k.replace("__", "."): v for k, v in form.items()}})
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    request = AWSRequest("POST", url, headers, data)
    SigV4Auth(session.get_credentials(), "sqs", REGION).add_auth(request)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data.encode(), dict(request.headers))) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    return status, ET.fromstring(text.replace(' xmlns="http://queue.amazonaws.com/doc/2012-11-05/"', ""))


def pairs(tree, name, key="Name"):
    return {item.findtext(key): item.findtext("Value") for item in tree.iter(name)}


def by_query():
    made = {"Attribute__1__Name": "VisibilityTimeout", "Attribute__1__Value": "7", "Tag__1__Key": "a", "Tag__1__Value": "b"}
    url = call(ENDPOINT, "CreateQueue", QueueName="old", **made)[1].findtext("CreateQueueResult/QueueUrl")
    wanted = {"AttributeName__1": "VisibilityTimeout", "AttributeName__2": "DelaySeconds"}
    attributes = pairs(call(url, "GetQueueAttributes", QueueUrl=url, **wanted)[1], "Attribute")
    tags = pairs(call(url, "ListQueueTags", QueueUrl=url)[1], "Tag", "Key")
    attribute = {"Name": "t", "Value__DataType": "String", "Value__StringValue": "ü"}
    entry = {"Id": "a", "MessageBody": BODY, **{f"MessageAttribute__1__{k}": v for k, v in attribute.items()}}
    sent = {f"SendMessageBatchRequestEntry__1__{k}": v for k, v in entry.items()}
    assert call(url, "SendMessageBatch", QueueUrl=url, **sent)[0] == 200
    message = call(url, "ReceiveMessage", QueueUrl=url, AttributeName__1="All", MessageAttributeName__1="All")[1].find(".//Message")
    value = message.find("MessageAttribute/Value")
    assert call(url, "DeleteMessage", QueueUrl=url, ReceiptHandle=message.findtext("ReceiptHandle"))[0] == 200
    return {
        "created": url,
        "attributes": attributes,
        "tags": tags,
        "body": message.findtext("Body"),
        "attribute": [value.findtext("DataType"), value.findtext("StringValue")],
        "count": pairs(message, "Attribute")["ApproximateReceiveCount"],
    }


def errors():
    url = f"{ENDPOINT}/123456789012/old"
    answers = [
        call(ENDPOINT, "GetQueueUrl", QueueName="none"),
        call(url, "SendMessageBatch", QueueUrl=url),
        call(url, "SendMessage", QueueUrl=url),
        call(url, "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages="11"),
        call(url, "Nothing"),
    ]
    return [[status, tree.findtext("Error/Code")] for status, tree in answers]


print(json.dumps({"json": by_json(), "query": by_query(), "errors": errors()}))
