"""What a start costs that does nothing: Python and Lambda's runtime client."""


def lambda_handler(event, context):
    """Answer anything."""
    return {"statusCode": 200, "body": "{}"}
