"""The commands `download` and `cache`: photos to train on, and the cache of decoded photos."""

from dataclasses import replace
from typing import Any

from .. import data


def download(options: Any) -> int:
    """Fetch an archive of photos, and print how to train on it."""
    chosen = {"address": options.address, "sha256": options.sha256}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    archive = replace(data.ARCHIVES[options.archive], **chosen)
    options.say(f"{archive.address}: {archive.size} bytes", flush=True)
    folder = data.download(archive, options.out)
    print(f"Next: {options.program} train --data {folder}")
    return 0


def cache(options: Any) -> int:
    """Print the size of the cache, or clear it."""
    found = data.ImageCache(options.cache_dir)
    print(f"{found.folder}: {found.size / 1e6:.1f} MB of decoded photos, at most {found.limit / 1e6:.0f}")
    if options.clear:
        print(f"Removed {found.clear() / 1e6:.1f} MB")
    return 0
