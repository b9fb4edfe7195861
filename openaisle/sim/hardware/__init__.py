"""Hardware: a shop's cameras and scales that are not there, as real RTSP and MQTT on this machine."""
