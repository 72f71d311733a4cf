import sensor
sensor.reset()
sensor.set_pixformat(sensor.RGB565)
sensor.set_framesize(sensor.QQVGA)
img=sensor.snapshot()
img.draw_rectangle(1,2,3,4,color=(1,2,3),fill=True)
print(img.get_pixel(1,2))
