import numpy as np
from tests.plugins.emulated.operators import deploy_and_run
from tests.plugins.emulated.calls import convolution
def test_debug(host):
    for dt in (np.float32, np.float16):
        for noise in (True, False):
            rng=np.random.default_rng(3)
            call,bound=convolution(rng,(1,32,9,8),16,dtype=dt,int8=True,quantize=True,pixels=False,kernel=1,density=0.5)
            x=call.inputs[0].values; s=float(call.inputs[4].values); w=call.inputs[2].values[:,:,0,0].astype(int); ws=call.inputs[5].values
            out=deploy_and_run(host,call)
            err=np.abs(out-call.expected); bad=err>bound
            print(dt.__name__,'bad',bad.sum(),'of',bad.size,'pixels bad',bad.any(1).sum(), 'channels', bad.any((0,2,3)).sum())
            q=np.clip(np.rint(x.astype(float)/s),-128,127)
            for (y,xx) in np.argwhere(bad.any(1)[0])[:4]:
                d=(out[0,:,y,xx]-call.expected[0,:,y,xx])/(s*ws)   # integer errors
                print('  pixel',y,xx,'int err',np.round(d[:6],2))
                sol,res,_,_=np.linalg.lstsq(w[:, :].astype(float),d,rcond=None)
                qs=x[0,:,y,xx].astype(float)/s
                print('   x/s max',qs.max(),'min',qs.min())
                for c in range(32):
                    for v in (256,-256,1,-1):
                        if np.allclose(w[:,c]*v,d,atol=.6): print('   channel',c,'off by',v,'x/s',qs[c],repr(x[0,c,y,xx]), 'scale', repr(s))
            break
