"""Synthetic scenes in the VOC layout, for the demo and the tests."""

from data.scenes.scene import ALL_CLASSES, CLASSES, Scene, SceneClass, draw_scene, write_scenes

__all__ = ["ALL_CLASSES", "CLASSES", "Scene", "SceneClass", "draw_scene", "write_scenes"]
