"""Uploads a folder with hf_xet to a folder that stands for the server, or brings it back. Runs in the peers' venv.

usage: xet_client.py upload|download STORE LIST FOLDER     (LIST: a JSON file of path, hash and size, written by upload)
"""

import json
import sys
import warnings
from pathlib import Path

import hf_xet

warnings.simplefilter("ignore", DeprecationWarning)
verb, store, listing, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
store.mkdir(exist_ok=True)
endpoint = f"local://{store}"
if verb == "upload":
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    infos = hf_xet.upload_files([str(path) for path in paths], endpoint, None, None, None, None, skip_sha256=True)
    rows = [(str(p.relative_to(folder)), i.hash, i.file_size) for p, i in zip(paths, infos, strict=True)]
    listing.write_text(json.dumps(rows))
else:
    wanted = []
    for name, digest, size in json.loads(listing.read_text()):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        wanted.append(hf_xet.PyXetDownloadInfo(str(target), digest, size))
    hf_xet.download_files(wanted, endpoint, None, None, None)
