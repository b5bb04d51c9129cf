"""Boxes and masks that lie beside labels: COCO, VOC, YOLO, CSV and mask files as one kind of record. numpy only."""
