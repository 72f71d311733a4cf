a=[]
for _ in range(4000):
    a=[a]
print(a==[a])
