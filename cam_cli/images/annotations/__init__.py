"""Reads ground truth (COCO, VOC, YOLO, CSV, mask files) into one kind of record. Uses numpy only."""
