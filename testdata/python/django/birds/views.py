from django.shortcuts import render


def index(request):
    return render(request, "birds/index.html", {"birds": ["robin", "wren"]})
