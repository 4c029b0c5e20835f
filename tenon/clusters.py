"""The folders of clusters below rendered/, each of which is judged by itself."""

from pathlib import Path

from tenon.output import CommandError


def clusters(root: Path, tree: Path | None) -> list[Path]:
    """The folders to prove, each a cluster. Raises CommandError when there is none, or when it is not for us to see."""
    rendered = root / "rendered"
    try:
        if tree is not None:
            if not tree.is_dir():
                raise CommandError(f"{tree}: is no folder; name a cluster's folder below rendered/")
            return [tree]
        if rendered.is_symlink():
            raise CommandError(f"{rendered}: is a symbolic link; a rendered tree holds folders and files only")
        found = sorted(folder for folder in rendered.iterdir() if folder.is_dir()) if rendered.is_dir() else []
    except OSError as error:
        raise CommandError(f"{error.filename}: cannot be read ({error.strerror}); mend it and prove again") from None
    if not found:
        raise CommandError(f"{rendered}: holds no cluster's folder; run `tenon render` first")
    return found
