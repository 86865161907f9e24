"""Figures of quality, time and memory beside bounds and peers, on data that lies outside this project."""
