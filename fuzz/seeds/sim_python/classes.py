class A:
    def __init__(self, *a, **k):
        self.a=a
class B(A, Exception):
    pass
try:
    raise B(1, x=2)
except (ValueError, B) as e:
    print(e.args, isinstance(e, A))
finally:
    print('end')
