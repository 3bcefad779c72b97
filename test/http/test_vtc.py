"""Conversations over HTTP, held by varnishtest: vtc/*.vtc, run as lib/vtc.py says."""

import os

import pytest

import vtc

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vtc")


@pytest.mark.parametrize("name", vtc.conversations(HERE))
def test_conversation(site, name):
    vtc.converse(site, os.path.join(HERE, name))
