with open('x','w') as f:
    f.write('a\nb')
for l in open('x'):
    print(l)
import os
print(os.listdir(), os.stat('x'))
