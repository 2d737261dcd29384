use flowdistill::flow::*; use flowdistill::target::*; use flowdistill::train::*; use flowdistill::seed::Seed; use flowdistill::conditioner::*;
use dfdx::prelude::Cpu;
struct F(usize);
impl Density for F { fn dim(&self)->usize{self.0}
 fn evaluate(&self,p:&[f64],v:&mut [f64],mut g:Option<&mut [f64]>,_:&mut Faults)->Result<(),Fatal>{
  let d=self.0; for r in 0..v.len(){ let x=&p[r*d..(r+1)*d]; let e=(-x[0]).exp(); let ss:f64=x[1..].iter().map(|a|a*a).sum();
   v[r]=-x[0]*x[0]/18.0-(3.0f64).ln()-0.9189385*d as f64-0.5*(d-1) as f64*x[0]-0.5*e*ss;
   if let Some(g)=g.as_deref_mut(){ let g=&mut g[r*d..(r+1)*d]; g[0]=-x[0]/9.0-0.5*(d-1) as f64+0.5*e*ss; for i in 1..d{g[i]=-e*x[i];} } } Ok(()) } }
struct O; impl Observer for O { fn step(&mut self,p:&Progress){ if p.step%500==0 {println!("{} {:.4} {:?} |g| {:.3}",p.step,p.loss,p.ess,p.gradient_norm);} } }
fn main(){ let a:Vec<String>=std::env::args().collect(); let layers:usize=a[1].parse().unwrap(); let act=match &a[2][..]{"relu"=>Activation::Relu,"tanh"=>Activation::Tanh,_=>Activation::Silu}; let skip=a[3]=="skip"; let steps:u64=a[4].parse().unwrap(); let peak:f64=a[5].parse().unwrap(); let avg:f64=a[6].parse().unwrap(); let seed:u64=a[7].parse().unwrap();
 let w:usize=a.get(8).map(|s|s.parse().unwrap()).unwrap_or(64);
 let orders=if a.get(9).is_some(){vec![Order::Ascending]}else{vec![Order::Ascending,Order::Descending]};
 let c=FlowConfig{layers,activation:act,skip,hidden:vec![w,w],orders,..Default::default()};
 let f=F(10); let s=Seed(seed);
 let mut flow=Flow::new(&Cpu::default(),10,&c,Orientation::Sampling,&s.stream("i")).unwrap();
 let mut o=ReverseKl::new(&f,Standardisation::identity(10),512,s.stream("n"));
 let t=train(&mut flow,&mut o,&Settings{steps,average:avg,rate:Schedule{peak,..Default::default()},..Default::default()},&Default::default(),&mut O).unwrap();
 println!("{t:?}");
 let n=100000; let mut z=vec![0.0;n*10]; s.stream("e").normals(0,10,&mut z); let (mut x,mut q,mut v)=(vec![0.0;n*10],vec![0.0;n],vec![0.0;n]);
 let t0=std::time::Instant::now(); flow.freeze::<f64>(false).push(&z,&mut x,&mut q); println!("eval {:?}",t0.elapsed());
 let t0=std::time::Instant::now(); let mut q2=q.clone(); flow.freeze::<f32>(false).push(&z,&mut x.clone(),&mut q2); println!("eval32 {:?}",t0.elapsed());
 f.evaluate(&x,&mut v,None,&mut Faults::default()).unwrap();
 let lw:Vec<f64>=v.iter().zip(&q).map(|(a,b)|a-b).collect(); let m=lw.iter().cloned().fold(f64::MIN,f64::max);
 let s1:f64=lw.iter().map(|l|(l-m).exp()).sum(); let s2:f64=lw.iter().map(|l|(2.0*(l-m)).exp()).sum();
 println!("elbo {:.5} logz {:.5} ess {:.4}", lw.iter().sum::<f64>()/n as f64, m+(s1/n as f64).ln(), s1*s1/s2/n as f64);
}
