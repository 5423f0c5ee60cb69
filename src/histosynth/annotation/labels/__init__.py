"""Labels of pictures for other programs: the nuclei of each in the conventions of a format.

boxes   nuclei as boxes of one nominal diameter      coco     one JSON for all pictures
yolo    a text for each picture, and their list    geojson  a file for each that QuPath opens
files   where each format has its files, and how they are written next to pictures
"""
