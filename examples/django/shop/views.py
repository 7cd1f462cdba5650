from django.core.files.storage import default_storage
from django.db import DatabaseError, connection
from django.http import FileResponse, Http404, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from shop import release

LARGEST_UPLOAD = 1 << 20


@require_GET
def healthz(request):
    """Healthy is: the database answers."""
    if not release.healthy():
        return HttpResponse("unhealthy on purpose\n", status=503, content_type="text/plain")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("the database does not answer\n", status=503, content_type="text/plain")
    return HttpResponse("ok\n", content_type="text/plain")


# The shop has no sessions, so there is nothing a forged request could borrow.
@csrf_exempt
@require_POST
def upload(request):
    file = request.FILES.get("file")
    if file is None or file.size > LARGEST_UPLOAD:
        return JsonResponse({"error": "send one file of at most 1 MiB as 'file'"}, status=400)
    return JsonResponse({"name": default_storage.save(file.name, file)}, status=201)


@require_GET
def download(request, name):
    if not default_storage.exists(name):
        raise Http404
    # As an attachment, so that no browser runs what somebody uploaded.
    return FileResponse(default_storage.open(name), as_attachment=True, content_type="application/octet-stream")
