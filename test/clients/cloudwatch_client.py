"""CloudWatch by boto3, which speaks JSON or CBOR, and by the query form. Prints what came back as one JSON object."""
import datetime
import json
import os
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
REGION = os.environ["AWS_REGION"]
NAMESPACE = "{http://monitoring.amazonaws.com/doc/2010-08-01/}"
NOW = datetime.datetime.now(datetime.timezone.utc)

session = boto3.Session()
cloudwatch = session.client("cloudwatch", endpoint_url=ENDPOINT)


def by_sdk():
    # Large enough to be compressed by the client.
    data = [{"MetricName": "n", "Value": float(index), "Unit": "Count"} for index in range(500)]
    cloudwatch.put_metric_data(Namespace="Boto", MetricData=data)
    query = {"Id": "m", "MetricStat": {"Metric": {"Namespace": "Boto", "MetricName": "n"}, "Period": 3600, "Stat": "Sum"}}
    span = {"StartTime": NOW - datetime.timedelta(hours=1), "EndTime": NOW + datetime.timedelta(hours=1)}
    result = cloudwatch.get_metric_data(MetricDataQueries=[query], **span)["MetricDataResults"][0]
    try:
        cloudwatch.set_alarm_state(AlarmName="none", StateValue="OK", StateReason="x")
        code = None
    except ClientError as error:
        code = error.response["Error"]["Code"]
    return {"sum": sum(result["Values"]), "status": result["StatusCode"], "error": code}


def call(action, **form):
    """A form, signed; status and what its answer holds."""
    data = urllib.parse.urlencode({"Action": action, "Version": "2010-08-01", **form})
    request = AWSRequest("POST", ENDPOINT + "/", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, data)
    SigV4Auth(session.get_credentials(), "monitoring", REGION).add_auth(request)
    try:
        answer = urllib.request.urlopen(urllib.request.Request(ENDPOINT + "/", data.encode(), dict(request.headers)))
        status = answer.status
    except urllib.error.HTTPError as error:
        answer, status = error, error.code
    return status, ET.fromstring(answer.read())


def by_query():
    call("PutMetricData", **{
        "Namespace": "Form",
        "MetricData.member.1.MetricName": "n",
        "MetricData.member.1.Value": "2.5",
        "MetricData.member.1.Dimensions.member.1.Name": "a",
        "MetricData.member.1.Dimensions.member.1.Value": "b",
    })
    _, listed = call("ListMetrics", Namespace="Form")
    dimension = listed.find(f".//{NAMESPACE}Dimensions/{NAMESPACE}member")
    status, failed = call("PutMetricData", **{"Namespace": "Form", "MetricData.member.1.MetricName": "n", "MetricData.member.1.Value": "1e200"})
    return {
        "dimension": [part.text for part in dimension],
        "failure": [status, failed.find(f".//{NAMESPACE}Code").text],
        "missing": call("GetMetricStatistics", Namespace="Form")[0],
    }


print(json.dumps({"sdk": by_sdk(), "query": by_query()}))
