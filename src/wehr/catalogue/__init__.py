"""What is out of date, on any day: data files, look-up, assessment, importers of public feeds."""
