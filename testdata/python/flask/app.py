from flask import Flask, jsonify
import os

app = Flask(__name__)


@app.get("/")
def hello():
    return "hello from flask"


@app.get("/env")
def env():
    return jsonify(user=os.getuid(), dir=os.getcwd(), unbuffered=os.environ.get("PYTHONUNBUFFERED"))
