"""What people and tools marked: nuclei and regions in files, and how two annotators agree."""
