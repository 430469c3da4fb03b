"""What a careful reader would ask of the data before looking at any accuracy: copies, formats, sources, metadata."""
