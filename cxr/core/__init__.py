"""What everything else stands on: errors, files, parameters, the manifest, the plane, the audit record."""
