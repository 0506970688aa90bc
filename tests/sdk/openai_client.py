"""What the scripts for the Python library `openai` share."""

import openai
from cases import KEY, URL
from pydantic import BaseModel

FORTY_TWO = "The answer is forty-two."


class City(BaseModel):
    name: str
    people: int


def client(headers, kind=openai.OpenAI):
    return kind(base_url=f"{URL}/v1", api_key=KEY, default_headers=headers, _strict_response_validation=True)
