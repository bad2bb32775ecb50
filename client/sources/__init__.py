"""Where frames come from: files, folders, cameras, a drawn scene. Knows no server."""
